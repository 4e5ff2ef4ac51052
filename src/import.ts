/** The door `sheaf/import`: CNNs made elsewhere, read from ONNX files. */
export { type ImportedNetwork, type ImportOptions, type ImportSource, importNetwork } from "./import/importNetwork.ts";
