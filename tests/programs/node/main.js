const ms = require("ms");
const semver = require("semver");
console.log(`${ms(process.argv[2])} ms, new enough: ${semver.gte(process.versions.node, "18.0.0")}`);
