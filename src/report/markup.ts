/**
 * Writes HTML and SVG as text. Everything that is not already `Markup` is escaped, so no string of the data
 * can become an element. Elements come out well formed as XML too, which lets tests parse the page.
 */

/** Text that is known to be well-formed markup. Made by `el` and `trusted` only. */
export interface Markup {
  readonly markup: string;
}

/** What may stand inside an element; `undefined` and `false` are left out, so that a part can be conditional. */
export type Child = Markup | string | number | undefined | false | readonly Child[];

/** Attribute values; `undefined` leaves the attribute out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

const voidElements: ReadonlySet<string> = new Set(["br", "col", "hr", "img", "meta", "wbr"]);
// XML 1.0 allows none of these, not even escaped.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Escapes text for element content and for attribute values; characters that XML forbids become U+FFFD. */
export function escapeText(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(forbidden, "\ufffd")
    .replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** Coordinates carry two decimals: a hundredth of a pixel, and short files. */
function printNumber(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function printChild(child: Child): string {
  if (child === undefined || child === false) return "";
  if (typeof child === "string") return escapeText(child);
  if (typeof child === "number") return String(child);
  if ("markup" in child) return child.markup;
  return child.map(printChild).join("");
}

/**
 * One element with escaped attributes and children.
 * @example el("text", { x: 4, class: "label" }, "a < b").markup // <text x="4" class="label">a &lt; b</text>
 */
export function el(name: string, attributes: Attributes = {}, ...children: readonly Child[]): Markup {
  let open = `<${name}`;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) open += ` ${key}="${typeof value === "number" ? printNumber(value) : escapeText(value)}"`;
  }
  if (voidElements.has(name)) return { markup: `${open}/>` };
  return { markup: `${open}>${children.map(printChild).join("")}</${name}>` };
}

/** Takes text as markup without escaping it. Only for what this folder wrote itself: charts and the style sheet. */
export function trusted(markup: string): Markup {
  return { markup };
}

/** Several pieces one after another. */
export function sequence(pieces: readonly Child[]): Markup {
  return { markup: pieces.map(printChild).join("\n") };
}
