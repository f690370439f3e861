// Evaluate one rubric of the C2PA conformance programme over a crJSON document.
//
//     node rubric.mjs FOLDER_OF_JSON_FORMULA < {"rubric": [head, [statement, ...]], "data": crJSON, "specVersion": "2.4"}
//
// prints {"statement id": "true" | "false"}. The head names variables and expressions; an expression is a function whose
// arguments are the array $args and whose @ is the caller's. A statement with failIfMatched holds if it finds nothing.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const { default: JsonFormula, dataTypes } = await import(pathToFileURL(`${process.argv[2]}/src/json-formula.js`).href);
const { rubric, data, specVersion } = JSON.parse(readFileSync(0, 'utf8'));
const [head, ...rest] = rubric;
const globals = { ...head.variables, $expected_spec_version: specVersion };
const expressions = Object.entries(head.expressions ?? {});
const names = [...Object.keys(globals), '$args', ...Object.keys(head.expressions ?? {})];

// Every expression may take up to three arguments; more than a body reads do no harm.
const optional = [0, 1, 2].map(() => ({ types: [dataTypes.TYPE_ANY], optional: true }));
const compiled = {};
const functions = Object.fromEntries(expressions.map(([name]) => [name, {
  _func: (args, here, interpreter) => {
    const outer = interpreter.globals.$args;
    interpreter.globals.$args = args;
    try {
      return interpreter.search(compiled[name], here);
    } finally {
      interpreter.globals.$args = outer;
    }
  },
  _signature: optional,
}]));

const problems = [];
const engine = new JsonFormula(functions, null, problems);
for (const [name, body] of expressions) compiled[name] = engine.compile(body.trim(), names);

function holds(statement) {
  const found = engine.run(engine.compile(statement.expression.trim(), names), data, 'en-US', { ...globals, $args: [] });
  const some = Array.isArray(found) ? found.length > 0 : Boolean(found);
  return statement.failIfMatched || statement.warnIfMatched ? !some : some;
}

const statements = rest.flat().filter((statement) => statement.expression);
console.log(JSON.stringify(Object.fromEntries(statements.map((one) => [one.id, holds(one)]))));
