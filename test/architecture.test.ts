/** The layer check fails, by name, on each thing it forbids, and passes on the real tree. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as architecture from "../architecture.mjs";
import { checkLayers, formatViolation, type Rule, readSources } from "../scripts/checkLayers.mjs";
import { readImports } from "../scripts/readImports.mjs";

const small = {
  layers: [["util"], ["runtime", "models"], ["train"], ["run"]],
  nodeFolders: ["run"],
  platformSuffixes: { node: ".node.ts", web: ".web.ts" },
};

/** Where and which rules a made-up tree violates, as "file:line rule". */
const rulesBroken = (files: Readonly<Record<string, string>>): string[] =>
  checkLayers(files, small).map(({ file, line, rule }) => `${file}:${line} ${rule}`);

const forbidden: readonly { what: string; files: Readonly<Record<string, string>>; at: string; rule: Rule }[] = [
  {
    what: "an import of a later folder",
    files: { "src/util/a.ts": 'import { b } from "../train/b.ts";' },
    at: "src/util/a.ts:1",
    rule: "upward",
  },
  {
    what: "a type from a later folder",
    files: { "src/util/a.ts": '\nimport type { B } from "../train/b.ts";' },
    at: "src/util/a.ts:2",
    rule: "upward",
  },
  {
    what: "a re-export of a later folder",
    files: { "src/util/a.ts": 'export * from "../train/b.ts";' },
    at: "src/util/a.ts:1",
    rule: "upward",
  },
  {
    what: "a dynamic import of a later folder",
    files: { "src/util/a.ts": 'export const b = () => import("../train/b.ts");' },
    at: "src/util/a.ts:1",
    rule: "upward",
  },
  {
    what: "a neighbour in one row",
    files: { "src/models/a.ts": 'import { b } from "../runtime/b.ts";' },
    at: "src/models/a.ts:1",
    rule: "sideways",
  },
  {
    what: "a Node module in a core file",
    files: { "src/util/a.ts": 'import { join } from "node:path";' },
    at: "src/util/a.ts:1",
    rule: "platform",
  },
  {
    what: "a Node module without its prefix",
    files: { "src/util/a.ts": 'import { join } from "path";' },
    at: "src/util/a.ts:1",
    rule: "platform",
  },
  {
    what: "a Node package in a core file",
    files: { "src/util/a.ts": 'import sharp from "sharp";' },
    at: "src/util/a.ts:1",
    rule: "platform",
  },
  { what: "a Node module loaded lazily", files: { "src/util/a.ts": 'await import("node:fs");' }, at: "src/util/a.ts:1", rule: "platform" },
  {
    what: "a Node package in a web file",
    files: { "src/util/a.web.ts": 'import "onnxruntime-node";' },
    at: "src/util/a.web.ts:1",
    rule: "platform",
  },
  {
    what: "a web package in a core file",
    files: { "src/util/a.ts": 'import "onnxruntime-web/webgpu";' },
    at: "src/util/a.ts:1",
    rule: "platform",
  },
  {
    what: "a web package in a Node folder",
    files: { "src/run/a.ts": 'import "onnxruntime-web";' },
    at: "src/run/a.ts:1",
    rule: "platform",
  },
  {
    what: "a Node file in a core file",
    files: { "src/util/a.ts": 'import { b } from "./b.node.ts";' },
    at: "src/util/a.ts:1",
    rule: "platform",
  },
  {
    what: "a web file in a Node file",
    files: { "src/util/a.node.ts": 'import "./b.web.ts";' },
    at: "src/util/a.node.ts:1",
    rule: "platform",
  },
  {
    what: "a Node file in a core door",
    files: { "src/util.ts": 'export * from "./util/a.node.ts";' },
    at: "src/util.ts:1",
    rule: "platform",
  },
  {
    what: "a door that opens on another folder",
    files: { "src/train.ts": 'export * from "./util/a.ts";' },
    at: "src/train.ts:1",
    rule: "door",
  },
  { what: "a door used from inside", files: { "src/train/a.ts": 'import { b } from "../util.ts";' }, at: "src/train/a.ts:1", rule: "door" },
  { what: "a folder without a place", files: { "src/misc/a.ts": "" }, at: "src/misc/a.ts:1", rule: "unknown-folder" },
  {
    what: "an import of a test",
    files: { "src/util/a.ts": 'import { b } from "./b.test.ts";' },
    at: "src/util/a.ts:1",
    rule: "test-import",
  },
  {
    what: "an import of a test's fixture",
    files: { "src/util/a.ts": 'import { b } from "./b.fixture.ts";' },
    at: "src/util/a.ts:1",
    rule: "test-import",
  },
  {
    what: "an import out of src",
    files: { "src/util/a.ts": 'import p from "../../package.json";' },
    at: "src/util/a.ts:1",
    rule: "outside",
  },
  {
    what: "a circle of three files",
    files: {
      "src/util/a.ts": '// first\nimport { b } from "./b.ts";',
      "src/util/b.ts": 'import { c } from "./c.ts";',
      "src/util/c.ts": 'import { a } from "./a.ts";',
    },
    at: "src/util/a.ts:2",
    rule: "cycle",
  },
  { what: "a file that imports itself", files: { "src/util/a.ts": 'import { b } from "./a.ts";' }, at: "src/util/a.ts:1", rule: "cycle" },
];

const allowed: readonly { what: string; files: Readonly<Record<string, string>> }[] = [
  { what: "an earlier folder", files: { "src/train/a.ts": 'import { b } from "../util/b.ts";' } },
  {
    what: "the same folder, deeper",
    files: { "src/train/deep/a.ts": 'import { b } from "../b.ts"; import { c } from "../../util/c.ts";' },
  },
  { what: "Node in a Node file", files: { "src/util/a.node.ts": 'import "node:fs"; import "sharp"; import { b } from "./b.node.ts";' } },
  { what: "Node in a Node folder", files: { "src/run/a.ts": 'import "node:fs"; import { b } from "../util/b.node.ts";' } },
  { what: "Node and later folders in a test", files: { "src/util/a.test.ts": 'import "node:fs"; import { b } from "../run/b.ts";' } },
  { what: "web in a web file", files: { "src/util/a.web.ts": 'import "onnxruntime-web"; import { b } from "./b.ts";' } },
  { what: "a platform's file loaded when asked", files: { "src/util/a.ts": 'export const open = () => import("./b.node.ts");' } },
  { what: "a package that runs anywhere", files: { "src/util/a.ts": 'import { z } from "zod";' } },
  {
    what: "doors of each kind",
    files: {
      "src/util.ts": 'export * from "./util/a.ts";',
      "src/util.node.ts": 'export * from "./util.ts"; export * from "./util/a.node.ts";',
      "src/util.web.ts": 'export * from "./util/a.web.ts";',
      "src/run.ts": 'export * from "./run/a.ts"; export * from "./run/b.node.ts";',
    },
  },
  {
    what: "two files that share types",
    files: { "src/util/a.ts": 'import type { B } from "./b.ts";', "src/util/b.ts": 'import { type A, a } from "./a.ts";' },
  },
];

describe("checkLayers", () => {
  it.each(forbidden)("forbids $what", ({ files, at, rule }) => {
    expect(rulesBroken(files)).toEqual([`${at} ${rule}`]);
  });

  it.each(allowed)("allows $what", ({ files }) => {
    expect(rulesBroken(files)).toEqual([]);
  });

  it("says where, what and what to do", () => {
    const [violation] = checkLayers({ "src/util/a.ts": '\n\nimport { b } from "../train/b.ts";' }, small);
    expect(formatViolation(violation!)).toMatchInlineSnapshot(
      `"src/util/a.ts:3 upward: util comes before train and may not import src/train/b.ts; move what is shared to an earlier folder, or pass it in as an argument."`,
    );
  });

  it("passes on the real tree", () => {
    const files = readSources(fileURLToPath(new URL("..", import.meta.url)));
    expect(Object.keys(files)).toContain("src/util/errors.ts");
    expect(checkLayers(files, architecture).map(formatViolation)).toEqual([]);
  });
});

describe("readImports", () => {
  it("reads every form of import", () => {
    const source = [
      'import a from "a";',
      "import * as b from 'b';",
      "import {",
      "  c,",
      "  type C,",
      '} from "c";',
      'import type { D } from "d";',
      'import "e"; import"f";',
      'export { g } from "g";',
      'export * from "h";',
      'export type * from "i";',
      'const j = await import("j");',
      'import type, { k } from "k";',
      'import{l}from"l"; import type{L}from"m";',
    ].join("\n");
    expect(readImports(source).map(({ specifier, line, kind }) => `${specifier} ${line} ${kind}`)).toEqual([
      "a 1 static",
      "b 2 static",
      "c 3 static",
      "d 7 type",
      "e 8 static",
      "f 8 static",
      "g 9 static",
      "h 10 static",
      "i 11 type",
      "j 12 dynamic",
      "k 13 static",
      "l 14 static",
      "m 14 type",
    ]);
  });

  it("is not misled by comments, strings, templates and regular expressions", () => {
    const source = [
      '// import { a } from "a";',
      '/* import { b } from "b"; */',
      "const text = 'import { c } from \"c\";';",
      'const template = `import { d } from "d"; ${`import "e" ${{ f: 1 }.f}`} import "f"`;',
      "const quote = /[/\"'`]/.test(text) ? 1 / 2 / 3 : 0;",
      'const importFrom = { import: 1 }; importFrom.import; const from = "g";',
      'export const value = 1; export type T = "h";',
      'import { i } from "i"; // "j"',
    ].join("\n");
    expect(readImports(source)).toEqual([{ specifier: "i", line: 8, kind: "static" }]);
  });

  it("finds an import inside a template's hole", () => {
    expect(readImports('`${await import("a")}`;\nimport "b";').map(({ specifier }) => specifier)).toEqual(["a", "b"]);
  });
});
