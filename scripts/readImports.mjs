/**
 * Finds the imports of a TypeScript source text: specifier, line, and whether it is for types only or dynamic.
 * A small scanner blanks comments, regular expressions and template text first, so that code quoted in them is not taken for an import.
 */

const wordBeforeRegex = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|yield|await)\s*$/;

/** Whether a `/` after this code begins a regular expression rather than a division. */
function regexMayStart(code) {
  const before = code.trimEnd();
  return before === "" || /[([{,;=:!&|?+\-*%<>~^}]$/.test(before) || wordBeforeRegex.test(before);
}

/** End of the quoted text that starts at `start`, just past the closing quote. */
function endOfString(source, start) {
  let at = start + 1;
  while (at < source.length && source[at] !== source[start]) at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** End of the regular expression that starts at `start`. */
function endOfRegex(source, start) {
  let inClass = false;
  for (let at = start + 1; at < source.length && source[at] !== "\n"; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === "[") inClass = true;
    else if (source[at] === "]") inClass = false;
    else if (source[at] === "/" && !inClass) return at + 1;
  }
  return start + 1;
}

const newlinesOf = (text) => "\n".repeat(text.split("\n").length - 1);

/**
 * The code with each string replaced by its number in quotes, and comments, regular expressions and template text left out.
 * Lines stay where they were.
 */
function scan(source) {
  const strings = [];
  let code = "";
  let at = 0;
  /** Depth of braces at which each open `${` closes. */
  const holes = [];
  let depth = 0;
  const templateText = () => {
    const start = at;
    while (at < source.length && source[at] !== "`") {
      if (source[at] === "$" && source[at + 1] === "{") {
        code += newlinesOf(source.slice(start, at));
        at += 2;
        holes.push(depth);
        code += "(";
        return;
      }
      at += source[at] === "\\" ? 2 : 1;
    }
    code += newlinesOf(source.slice(start, at));
    at++;
  };
  while (at < source.length) {
    const char = source[at];
    if (char === '"' || char === "'") {
      const end = endOfString(source, at);
      code += `"${strings.length}"`;
      strings.push(source.slice(at + 1, end - 1));
      at = end;
    } else if (source.startsWith("//", at)) {
      const end = source.indexOf("\n", at);
      at = end < 0 ? source.length : end;
    } else if (source.startsWith("/*", at)) {
      const close = source.indexOf("*/", at + 2);
      const end = close < 0 ? source.length : close + 2;
      code += ` ${newlinesOf(source.slice(at, end))}`;
      at = end;
    } else if (char === "/" && regexMayStart(code.slice(-40))) {
      const end = endOfRegex(source, at);
      code += "0";
      at = end;
    } else if (char === "`") {
      at++;
      code += "0";
      templateText();
    } else if (char === "}" && holes.length > 0 && holes.at(-1) === depth) {
      holes.pop();
      code += ")";
      at++;
      templateText();
    } else {
      if (char === "{") depth++;
      if (char === "}") depth--;
      code += char;
      at++;
    }
  }
  return { code, strings };
}

const patterns = [
  {
    kind: "static",
    pattern: /(?<![.\w$])(?:import|export)(?=[\s{*])\s*(type\b(?!\s*(?:from\s*"|,)))?[\w$*\s,{}]*?(?<![\w$])from\s*"(\d+)"/g,
  },
  { kind: "static", pattern: /(?<![.\w$])import()\s*"(\d+)"/g },
  { kind: "dynamic", pattern: /(?<![.\w$])import()\s*\(\s*"(\d+)"/g },
];

/** Every import, re-export and `import("...")` of a source text, in order of lines. */
export function readImports(source) {
  const { code, strings } = scan(source);
  const found = new Map();
  for (const { kind, pattern } of patterns) {
    for (const match of code.matchAll(pattern)) {
      const line = code.slice(0, match.index).split("\n").length;
      found.set(match[2], { specifier: strings[Number(match[2])], line, kind: match[1] ? "type" : kind });
    }
  }
  return [...found.values()].sort((a, b) => a.line - b.line);
}
