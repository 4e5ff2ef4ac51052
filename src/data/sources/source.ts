/** What every kind of own data gives: a listing of labelled samples, none of which is read or decoded before it is asked for. */
import type { SampleShape } from "../dataset.ts";

export type Split = "train" | "validation" | "test";

/** One labelled sample of a listing. */
export interface SourceEntry {
  /** Where it lies, for error messages: a path, or "file.parquet row 12". */
  readonly where: string;
  /** Index into the class names of the listing. */
  readonly label: number;
  /** The part it belongs to, when the data say so; within one listing either all entries have one or none has. */
  readonly split?: Split | undefined;
  /**
   * Encoded bytes (JPEG, PNG, WebP, WAV) or, kind "array", the values [channels, height, width] in the listing's type.
   * Called once for each entry, in any order, several at a time; cheapest in the order of the listing. Throws `data`, naming `where`.
   */
  read(): Promise<Uint8Array | Float32Array>;
}

/** A listing of labelled samples; nothing is decoded yet. */
export interface SampleSource {
  /** What `read()` of an entry gives. */
  readonly kind: "image" | "audio" | "array";
  /** What it is, for reports and messages, for instance "image folder ./photos". */
  readonly title: string;
  readonly classNames: readonly string[];
  /** In a stable order: sorted by path, or as the rows come. */
  readonly entries: readonly SourceEntry[];
  /** SHA-256 (hexadecimal) over what identifies the content cheaply: paths relative to the root, sizes, times of change. */
  readonly fingerprint: string;
  /** Of kind "array": shape and type of every sample. */
  readonly array?: { readonly shape: SampleShape; readonly dtype: "uint8" | "float32" };
  /** Of kind "audio": paths of WAV files of background noise. */
  readonly noise?: readonly string[];
  /** The class that no device needs to own ("unknown"). */
  readonly otherClass?: number;
  /** A second, coarser labelling; `labels` has one for each entry. */
  readonly coarse?: { readonly classNames: readonly string[]; readonly labels: Uint16Array };
  /** What the user should know of the listing, each a sentence: words that are not there, listed files that do not exist. */
  readonly notes?: readonly string[];
  /** Closes open files and removes temporary ones; entries cannot be read afterwards. Closing twice is fine. */
  close?(): Promise<void>;
}

export interface SourceOptions {
  /** Words to tell apart; the others become "unknown". Speech Commands only. */
  readonly words?: readonly string[] | undefined;
  /** Whether a class "silence" is added. Speech Commands only. */
  readonly silence?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Opens one kind of own data. Throws `data` when it is not what it should be, `interrupted` when the signal is aborted. */
export type OpenSource = (path: string, options: SourceOptions) => Promise<SampleSource>;
