/**
 * The order of the folders under `src/`. A folder may import itself and folders in earlier rows;
 * folders in one row do not know each other. `scripts/checkLayers.mjs` reads this and fails on an upward import.
 * A file `src/NAME.ts` is the public door of folder NAME and may import that folder alone.
 */
export const layers = [
  ["util"],
  ["onnx"],
  ["network", "features"],
  ["compile", "import"],
  ["runtime", "models", "data"],
  ["train", "decouple"],
  ["plan", "harvest"],
  ["baselines"],
  ["report"],
  ["run"],
  ["protocol"],
  ["coordinator", "agent"],
  ["fleet"],
  ["simulate"],
  ["paper"],
  ["cli"],
];

/** Core files see neither Node nor the DOM; files named `*.node.ts` and these folders may use Node. */
export const nodeFolders = ["run", "fleet", "simulate", "paper", "cli"];
/** A file with one of these endings may use that platform. */
export const platformSuffixes = { node: ".node.ts", web: ".web.ts" };
