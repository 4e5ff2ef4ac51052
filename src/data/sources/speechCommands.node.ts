/**
 * Speech Commands in its official layout: a folder of WAVs for each word, `validation_list.txt` and `testing_list.txt`, everything else training
 * (Warden 2018, section 5), with `unknown` and `silence` as in the set's 12-class protocol (section 7).
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SheafError } from "../../util/errors.ts";
import { inOrder } from "../../util/inOrder.ts";
import { noiseFolder } from "./classFolders.node.ts";
import type { FileState } from "./files.node.ts";
import { byCodeUnits, fileState, fingerprintOf, isHidden, mediumOf, readBytes, reasonOf, statPath, throwIfStopped } from "./files.node.ts";
import { silenceEntries, silenceVersion } from "./silence.node.ts";
import type { SampleSource, SourceEntry, SourceOptions, Split } from "./source.ts";

/** The ten words of the 12-class protocol; with `silence` and all other words as "unknown" they make its 12 classes. */
export const keywordWords: readonly string[] = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"];

/** The class of all words that are not among the chosen ones, and the class of clips without a word. */
export const unknownClass = "unknown";
export const silenceClass = "silence";

const listNames = { validation: "validation_list.txt", test: "testing_list.txt" } as const;
const splits: readonly Split[] = ["train", "validation", "test"];

/** Whether a folder has the official layout: at least one of its two lists. */
export async function isSpeechCommands(path: string): Promise<boolean> {
  for (const name of Object.values(listNames)) if ((await statPath(join(path, name)))?.isFile()) return true;
  return false;
}

interface Clip extends FileState {
  readonly path: string;
  readonly word: string;
  split: Split;
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new SheafError("data", `Cannot read the folder ${folder} (${reasonOf(error)}); check the path and its permissions.`, {
      cause: error,
    });
  });
  return names.filter((name) => !isHidden(name)).sort(byCodeUnits);
}

async function wavsIn(root: string, folder: string, signal: AbortSignal | undefined): Promise<(FileState & { readonly path: string })[]> {
  throwIfStopped(signal, root);
  const names = (await namesIn(join(root, folder))).filter((name) => mediumOf(name) === "audio");
  const found = inOrder(names, 64, async (name) => {
    const path = join(root, folder, name);
    const stats = await statPath(path);
    if (!stats?.isFile()) throw new SheafError("data", `${path} is no file; expected a WAV file, as its name says; remove or mend it.`);
    return { path, ...fileState(`${folder}/${name}`, stats) };
  });
  const files: (FileState & { readonly path: string })[] = [];
  for await (const file of found) files.push(file);
  return files;
}

/** Paths WORD/FILE in a list; undefined when there is no such list. Throws `data`, with the line's number, for any other line. */
async function readList(root: string, name: string): Promise<ReadonlySet<string> | undefined> {
  const path = join(root, name);
  if ((await statPath(path)) === undefined) return undefined;
  const lines = new TextDecoder().decode(await readBytes(path)).split(/\r?\n/);
  const listed = new Set<string>();
  lines.forEach((line, i) => {
    if (line === "") return;
    if (!/^[^/\\]+\/[^/\\]+\.wav$/.test(line)) {
      throw new SheafError(
        "data",
        `${path} line ${i + 1}: expected a path WORD/FILE.wav, got ${JSON.stringify(line.slice(0, 80))}; the list is cut or damaged, fetch it again.`,
      );
    }
    listed.add(line);
  });
  return listed;
}

/** All clips, sorted by path, each with its part. */
async function listClips(root: string, folders: readonly string[], notes: string[], signal: AbortSignal | undefined): Promise<Clip[]> {
  const clips: Clip[] = [];
  for (const word of folders) {
    for (const file of await wavsIn(root, word, signal)) clips.push({ ...file, word, split: "train" });
  }
  const byPath = new Map(clips.map((clip) => [clip.relative, clip]));
  const seen = new Map<string, string>();
  for (const [split, name] of Object.entries(listNames) as ["validation" | "test", string][]) {
    const listed = await readList(root, name);
    if (!listed) {
      notes.push(`${join(root, name)} does not exist: no clip is in the official ${split} part.`);
      continue;
    }
    let absent = 0;
    for (const path of listed) {
      const other = seen.get(path);
      if (other)
        throw new SheafError("data", `${path} is in both ${other} and ${name} of ${root}; expected it in one; fetch the lists again.`);
      seen.set(path, name);
      const clip = byPath.get(path);
      if (clip) clip.split = split;
      else absent++;
    }
    if (absent > 0)
      notes.push(`${absent} of the ${listed.size} clips in ${join(root, name)} are not in the folder, as in a part of the set.`);
  }
  return clips.sort((a, b) => byCodeUnits(a.relative, b.relative));
}

/** The words that become classes: those asked for that are there, in the order asked for; all there are when none was asked for. */
function chooseWords(root: string, folders: readonly string[], asked: readonly string[] | undefined, notes: string[]): readonly string[] {
  if (asked === undefined) return folders;
  const repeated = asked.find((word, i) => asked.indexOf(word) < i);
  if (repeated !== undefined) throw new SheafError("config", `The words must each be named once, but "${repeated}" is named twice.`);
  const missing = asked.filter((word) => !folders.includes(word));
  const present = asked.filter((word) => folders.includes(word));
  if (present.length === 0) {
    throw new SheafError("config", `None of the words ${asked.join(", ")} has a folder in ${root}; its words are ${folders.join(", ")}.`);
  }
  if (missing.length > 0)
    notes.push(`${root} has no folder for ${missing.join(", ")}: left out, ${present.length} of ${asked.length} words remain.`);
  return present;
}

/** Mean number of clips of the words in each part, rounded: how many samples "unknown" and "silence" get there. */
function meanCounts(clips: readonly Clip[], words: readonly string[]): Record<Split, number> {
  const counts = { train: 0, validation: 0, test: 0 };
  for (const { word, split } of clips) if (words.includes(word)) counts[split]++;
  for (const split of splits) counts[split] = Math.round(counts[split] / words.length);
  return counts;
}

/**
 * Of the clips of other words, as many in each part as the mean of the words' counts there. The choice is by the SHA-256 of the path WORD/FILE:
 * the same on every machine, and a clip that is added changes one other at most.
 */
function chooseUnknown(others: readonly Clip[], counts: Record<Split, number>): ReadonlySet<Clip> {
  const key = (clip: Clip): string => createHash("sha256").update(clip.relative).digest("hex");
  const keyed = others.map((clip) => ({ clip, key: key(clip) })).sort((a, b) => byCodeUnits(a.key, b.key));
  return new Set(
    splits.flatMap((split) =>
      keyed
        .filter(({ clip }) => clip.split === split)
        .slice(0, counts[split])
        .map(({ clip }) => clip),
    ),
  );
}

/**
 * Opens a folder in the official layout of Speech Commands. Without `words` each word's folder is a class; with them, those words are the classes and
 * a sample of all others is class "unknown", which no device needs to own. `silence` adds a class of stretches of background noise.
 * Words without a folder, and listed clips that are not there, are told in `notes`: parts of the set are common.
 * Throws `data` for a damaged list and a folder without clips, `config` for words of which none is there.
 * @example const source = await openSpeechCommands("speech_commands", { words: keywordWords, silence: true });
 */
export async function openSpeechCommands(path: string, options: SourceOptions = {}): Promise<SampleSource> {
  const { words: asked, silence = false, signal } = options;
  const notes: string[] = [];
  const folders: string[] = [];
  for (const name of await namesIn(path)) {
    if (!name.startsWith("_") && (await statPath(join(path, name)))?.isDirectory()) folders.push(name);
  }
  const clips = await listClips(path, folders, notes, signal);
  if (clips.length === 0) {
    throw new SheafError(
      "data",
      `${path} holds no clips; expected a folder of WAV files for each word, got ${folders.length} folders without any.`,
    );
  }
  const present = folders.filter((word) => clips.some((clip) => clip.word === word));
  const words = chooseWords(path, present, asked, notes);
  const reserved = [unknownClass, silenceClass].find((name) => words.includes(name));
  if (reserved && (asked || silence)) {
    throw new SheafError(
      "config",
      `"${reserved}" is a folder of ${path} and the name of a class that is made; expected other names of words.`,
    );
  }
  const counts = meanCounts(clips, words);
  const unknown = chooseUnknown(
    clips.filter(({ word }) => !words.includes(word)),
    counts,
  );
  const classNames = [...words, ...(unknown.size > 0 ? [unknownClass] : []), ...(silence ? [silenceClass] : [])];
  const entries: SourceEntry[] = [];
  for (const clip of clips) {
    const own = words.indexOf(clip.word);
    if (own < 0 && !unknown.has(clip)) continue;
    entries.push({ where: clip.path, label: own < 0 ? words.length : own, split: clip.split, read: () => readBytes(clip.path) });
  }
  const hasNoise = (await statPath(join(path, noiseFolder)))?.isDirectory() === true;
  const noise = hasNoise ? await wavsIn(path, noiseFolder, signal) : [];
  const noisePaths = noise.map((file) => file.path);
  if (silence) entries.push(...silenceEntries(noisePaths, classNames.length - 1, counts));
  return {
    kind: "audio",
    title: `Speech Commands ${path}`,
    classNames,
    entries,
    fingerprint: fingerprintOf(
      "speechCommands",
      [...clips, ...noise],
      [JSON.stringify([classNames, silence && silenceVersion]), ...entries.map(({ split }) => split ?? "")],
    ),
    noise: noisePaths,
    ...(unknown.size > 0 && { otherClass: words.length }),
    notes,
  };
}
