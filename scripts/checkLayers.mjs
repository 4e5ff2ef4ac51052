/**
 * Checks every import under `src/` against architecture.mjs: order of folders, public doors, platforms, cycles.
 * A test file (`*.test.ts`, `*.fixture.ts`) may import anything, since tests look at a folder from outside; nothing but a test may import a test.
 */
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { readImports } from "./readImports.mjs";

/** Packages that run on one platform alone. */
const packagePlatforms = {
  sharp: "node",
  "onnxruntime-node": "node",
  commander: "node",
  libsql: "node",
  "@hono/node-server": "node",
  undici: "node",
  "onnxruntime-web": "web",
};
const platformNames = { node: "Node", web: "the browser" };

const isTest = (file) => /\.(test|fixture)\.ts$/.test(file);
const packageOf = (specifier) => specifier.match(/^(?:@[^/]+\/)?[^/]+/)?.[0] ?? specifier;

/** What a file under `src/` is: the folder it belongs to, whether it is that folder's public door, and its platform. */
function describe(file, { nodeFolders, platformSuffixes }) {
  const inSrc = file.replace(/^src\//, "");
  const isDoor = !inSrc.includes("/");
  const bySuffix = Object.keys(platformSuffixes).find((name) => inSrc.endsWith(platformSuffixes[name]));
  const folder = isDoor ? inSrc.slice(0, -(bySuffix ? platformSuffixes[bySuffix] : ".ts").length) : inSrc.slice(0, inSrc.indexOf("/"));
  return { folder, isDoor, platform: bySuffix ?? (nodeFolders.includes(folder) ? "node" : "core") };
}

/** Platform that a package needs; "core" when it runs anywhere. */
function platformOfPackage(specifier) {
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) return "node";
  return packagePlatforms[packageOf(specifier)] ?? "core";
}

/** Rule about platforms for one import; undefined when it holds. */
function platformProblem(from, to, what, kind) {
  if (to === "core" || to === from.platform) return undefined;
  const remedy = `move this into a file that ends in .${to}.ts`;
  return kind === "package"
    ? `${what} needs ${platformNames[to]}, which this file may not use; ${remedy}`
    : `${what} needs ${platformNames[to]} and is imported statically; ${remedy}, pass what it gives as an argument, or load it with import() when asked for`;
}

/** Rule about the order of folders for one import of a file; [rule, sentence] or undefined when it holds. */
function orderProblem(from, to, target, rowOf) {
  if (to.isDoor && !(from.isDoor && from.folder === to.folder)) {
    return ["door", `${target} is a public door for users of the package; import the file behind it`];
  }
  if (from.folder === to.folder) return undefined;
  if (from.isDoor)
    return ["door", `the door of ${from.folder} may import that folder alone, not ${target}; re-export from src/${from.folder}/`];
  const [fromRow, toRow] = [rowOf.get(from.folder), rowOf.get(to.folder)];
  if (fromRow === undefined || toRow === undefined || toRow < fromRow) return undefined;
  const remedy = "move what is shared to an earlier folder, or pass it in as an argument";
  return toRow === fromRow
    ? ["sideways", `${from.folder} and ${to.folder} are in one row and do not know each other (${target}); ${remedy}`]
    : ["upward", `${from.folder} comes before ${to.folder} and may not import ${target}; ${remedy}`];
}

/** Cycles among static imports of values, each reported once, at its first file. An `import type` is gone at run time and counts for the order only. */
function findCycles(edges) {
  const cycles = [];
  const done = new Set();
  const path = [];
  const visit = (file) => {
    const start = path.indexOf(file);
    if (start >= 0) cycles.push(path.slice(start));
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const { target } of edges.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of [...edges.keys()].sort()) visit(file);
  return cycles;
}

/**
 * Violations in a tree of sources. `files` maps paths such as "src/util/errors.ts" to their text;
 * `architecture` is what architecture.mjs exports.
 */
export function checkLayers(files, architecture) {
  const violations = [];
  const rowOf = new Map(architecture.layers.flatMap((row, i) => row.map((folder) => [folder, i])));
  const edges = new Map();
  for (const [file, source] of Object.entries(files)) {
    if (isTest(file)) continue;
    const report = (line, rule, message) => violations.push({ file, line, rule, message });
    const from = describe(file, architecture);
    if (!rowOf.has(from.folder)) {
      report(1, "unknown-folder", `no row of architecture.mjs has a folder "${from.folder}"; add it to a row or move the file`);
      continue;
    }
    edges.set(file, []);
    for (const { specifier, line, kind } of readImports(source)) {
      if (!specifier.startsWith(".")) {
        const problem = platformProblem(from, platformOfPackage(specifier), `"${specifier}"`, "package");
        if (problem) report(line, "platform", problem);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier);
      if (!target.startsWith("src/")) {
        report(line, "outside", `"${specifier}" leads out of src/, which the built package does not have; move what is needed into src/`);
      } else if (isTest(target)) {
        report(line, "test-import", `${target} is a test; move what is shared into a file of its own`);
      } else {
        const to = describe(target, architecture);
        const order = orderProblem(from, to, target, rowOf);
        const platform = order || kind === "dynamic" ? undefined : platformProblem(from, to.platform, target, "file");
        if (order) report(line, ...order);
        if (platform) report(line, "platform", platform);
        if (kind === "static") edges.get(file).push({ target, line });
      }
    }
  }
  for (const cycle of findCycles(edges)) {
    const line = edges.get(cycle[0]).find(({ target }) => target === (cycle[1] ?? cycle[0])).line;
    const message = `imports go in a circle: ${[...cycle, cycle[0]].join(" -> ")}; move what both need into a file of its own`;
    violations.push({ file: cycle[0], line, rule: "cycle", message });
  }
  return violations;
}

/** The TypeScript sources of a repository, by path from its root. */
export function readSources(root) {
  const entries = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".ts")).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.sort().map((path) => [relative(root, path).split(sep).join("/"), readFileSync(path, "utf8")]));
}

/** One violation as a line that an editor can jump to. */
export function formatViolation({ file, line, rule, message }) {
  return `${file}:${line} ${rule}: ${message}.`;
}

const thisFile = fileURLToPath(import.meta.url);
if (process.argv[1] && resolve(process.argv[1]) === thisFile) {
  const root = dirname(dirname(thisFile));
  const files = readSources(root);
  const violations = checkLayers(files, await import("../architecture.mjs"));
  for (const violation of violations) console.error(formatViolation(violation));
  console.log(`Layers: ${Object.keys(files).length} files, ${violations.length} violations.`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
