/** The door `sheaf/protocol`: messages between devices and a coordinator, the table of routes, and the client. */
export { type CallInput, type CallOptions, type Client, type ClientOptions, type JsonRoute, openClient } from "./protocol/client.ts";
export { type EnrolOptions, enrol } from "./protocol/enrol.ts";
export { ProtocolError, type ProtocolErrorCode, type ProtocolErrorOptions, protocolErrors } from "./protocol/errors.ts";
export type * from "./protocol/messages.ts";
export { openApiDocument } from "./protocol/openApi.ts";
export type * from "./protocol/operatorMessages.ts";
export { backoffMs, type Timing } from "./protocol/retry.ts";
export { type ParameterOf, type QueryOf, type RequestOf, type ResponseOf, type Route, type RouteName, routes } from "./protocol/routes.ts";
export {
  createKey,
  type DeviceKey,
  keyOf,
  openKey,
  signEnrolment,
  signTokenRequest,
  verifyEnrolment,
  verifyTokenRequest,
} from "./protocol/signing.ts";
export type * from "./protocol/tasks.ts";
export type { Credentials } from "./protocol/tokens.ts";
export { memorySink, memorySource, type ObjectName, type Sink, type Source } from "./protocol/transfer.ts";
