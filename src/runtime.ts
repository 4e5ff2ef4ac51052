/** Sessions and training steps over any ONNX Runtime; `openSession` comes from the platform's own door. */
export * from "./runtime/session.ts";
export * from "./runtime/stepper.ts";
