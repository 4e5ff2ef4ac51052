import fc from "fast-check";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { describe, expect, it } from "vitest";
import { el, escapeText, sequence } from "./markup.ts";

const anyText = fc.string({ unit: "binary" });

describe("el", () => {
  it("writes attributes and children in order and leaves out what is undefined or false", () => {
    expect(el("a", { x: 1.23456, y: undefined, class: "b" }, "t", undefined, false, [el("br"), 2]).markup).toBe(
      '<a x="1.23" class="b">t<br/>2</a>',
    );
  });

  it("escapes markup in text and in attributes", () => {
    expect(el("p", { title: `"'<` }, "<script>&").markup).toBe('<p title="&quot;&#39;&lt;">&lt;script&gt;&amp;</p>');
  });

  it("is well formed whatever the text", () => {
    fc.assert(
      fc.property(anyText, anyText, (attribute, text) => {
        expect(XMLValidator.validate(el("p", { title: attribute }, text).markup)).toBe(true);
      }),
    );
  });

  it("gives a parser back the text it was given", () => {
    const parser = new XMLParser({ trimValues: false, parseTagValue: false, htmlEntities: true });
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const parsed: unknown = parser.parse(el("p", {}, `[${text}]`).markup);
        expect(parsed).toEqual({ p: `[${text}]` });
      }),
    );
  });
});

it("escapeText replaces what XML cannot hold: control characters and lone surrogates", () => {
  expect(escapeText("a\u0000b\ud800c\u{1f600}\n")).toBe("a\ufffdb\ufffdc\u{1f600}\n");
});

it("sequence puts pieces on lines of their own", () => {
  expect(sequence([el("i"), "<"]).markup).toBe("<i></i>\n&lt;");
});
