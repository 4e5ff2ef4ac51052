/** Background noise from the WAV files that a data set brings. */
import { readFile } from "node:fs/promises";
import { SheafError } from "../util/errors.ts";
import { openClipDecoder } from "./clipDecoder.ts";

/**
 * The recordings at `paths`, each whole, as 16-bit samples at `sampleRate` Hz, in the order of the paths.
 * Throws `data`, naming the file, when one is missing or damaged.
 */
export async function readNoise(paths: readonly string[], sampleRate: number): Promise<Int16Array[]> {
  const decoder = openClipDecoder(sampleRate);
  try {
    const recordings: Int16Array[] = [];
    for (const path of paths) {
      const bytes = await readFile(path).catch((error: unknown) => {
        throw new SheafError(
          "data",
          `The background noise ${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check that it exists.`,
          {
            cause: error,
          },
        );
      });
      recordings.push(await decoder.whole(bytes, path));
    }
    return recordings;
  } finally {
    await decoder.close();
  }
}
