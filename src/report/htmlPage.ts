/** What all pages share: one file with its style, no script, nothing fetched. */
import { el, type Markup, trusted } from "./markup.ts";
import { chartStyle, pageStyle } from "./style.ts";

export interface PageFacts {
  readonly title: string;
  readonly description: string;
  readonly sheafVersion: string;
}

/** A whole HTML document around what stands in it. */
export function htmlPage({ title, description, sheafVersion }: PageFacts, content: Markup): string {
  const page = el(
    "html",
    { lang: "en" },
    el(
      "head",
      {},
      el("meta", { charset: "utf-8" }),
      el("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      el("meta", { name: "generator", content: `Sheaf ${sheafVersion}` }),
      el("meta", { name: "description", content: description }),
      // A page from the disk that may load nothing but what it holds itself: even an escape that failed could not fetch or run.
      el("meta", { "http-equiv": "Content-Security-Policy", content: "default-src 'none'; img-src data:; style-src 'unsafe-inline'" }),
      el("title", {}, title),
      el("style", {}, trusted(chartStyle + pageStyle)),
    ),
    el("body", {}, el("main", {}, content)),
  );
  return `<!doctype html>\n${page.markup}\n`;
}
