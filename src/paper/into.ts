/** Puts the page of a paper into another page, between two comments, with its figures beside that page. */
import { readFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { SheafError } from "../util/errors.ts";
import { readError } from "../util/files.node.ts";
import type { PaperFigure } from "./figures.ts";
import { paperFiles, writePaperFile } from "./record.ts";

/** The lines between which the section stands; what stood there before is replaced. */
export const markers = { begin: "<!-- sheaf paper: begin -->", end: "<!-- sheaf paper: end -->" } as const;

/** Folder of a page's figures and results beside it, relative to it: one for each page, so that several may stand in one folder. */
export const folderOf = (file: string): string => `figures/${basename(file, extname(file))}/`;

/** The page with `section` between its markers. Throws `config` where they are missing, twice, or in the wrong order. */
export function replaceSection(page: string, section: string, where: string): string {
  const [before, ...afterBegin] = page.split(markers.begin);
  const [, ...afterEnd] = (afterBegin[0] ?? "").split(markers.end);
  if (before === undefined || afterBegin.length !== 1 || afterEnd.length !== 1) {
    throw new SheafError(
      "config",
      `${where} needs one line "${markers.begin}" and after it one line "${markers.end}", between which the section is put; add them.`,
    );
  }
  return `${before}${markers.begin}\n\n${section.trim()}\n\n${markers.end}${afterEnd[0]}`;
}

/** The text of a page that has its markers. Throws `data` when it cannot be read, `config` without markers. */
export async function readTarget(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw readError(error, file, "page");
  });
  replaceSection(text, "", file);
  return text;
}

/** Writes the section into the page, and figures and CSV beside it. */
export async function putInto(file: string, section: string, figures: readonly PaperFigure[], csv: string): Promise<void> {
  const text = await readTarget(file);
  const folder = dirname(file);
  for (const { file: name, svg } of figures) await writePaperFile(folder, join(folderOf(file), name), svg);
  await writePaperFile(folder, join(folderOf(file), paperFiles.csv), csv);
  await writePaperFile(folder, basename(file), replaceSection(text, section, file));
}
