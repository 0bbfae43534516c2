// Reads an AsyncAPI document with the project's own parser: node asyncapi.cjs MODULES FILE. Prints what it found as JSON.
const fs = require("node:fs");
const path = require("node:path");

const [modules, file] = process.argv.slice(2);
const { Parser } = require(path.join(modules, "@asyncapi", "parser"));

new Parser().parse(fs.readFileSync(file, "utf8")).then(({ document, diagnostics }) => {
  const grave = diagnostics.filter(({ severity }) => severity <= 1); // errors and warnings
  const told = grave.map(({ message, path: place }) => `${place.join(".")}: ${message}`);
  const counted = document ? { channels: document.channels().length, operations: document.operations().length } : {};
  process.stdout.write(JSON.stringify({ ...counted, faults: told }));
});
