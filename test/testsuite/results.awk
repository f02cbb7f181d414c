# From the logs of OCaml's test suite (ocamltest's, one a test file): what
# became of the native and of the bytecode part of each test.  Prints
#   TEST BACKEND passed|failed|skipped
# where TEST is its file without .ml and BACKEND is native, bytecode or other
# (steps before a compiler has run).

function worse(a, b) {
  if (a == "failed" || b == "failed") return "failed"
  if (a == "passed" || b == "passed") return "passed"
  return "skipped"
}

FNR == 1 {
  test = FILENAME
  sub(/^\.\//, "", test)
  sub(/_ocamltest\/tests\/.*\/_?/, "", test) # DIR/_ocamltest/tests/DIR/T/T.log
  sub(/\.log$/, "", test)
  backend = "other"
}

/^Action [0-9]+\/[0-9]+ \(.*\) => / {
  action = $3
  if (action ~ /ocamlopt|ocamlnat|codegen/) backend = "native"
  else if (action ~ /ocamlc|ocaml\)|toplevel|expect/) backend = "bytecode"
  key = test " " backend
  if (!(key in results)) results[key] = $5
  else results[key] = worse(results[key], $5)
}

END {
  for (key in results) print key, results[key]
}
