/* What the spans of dispatchers and workers are made with. Names are in telemetry-names.ts. */
export { activeTraceId, configureTelemetry } from './telemetry-span.ts';
export { callerContext, traceHeaders, withActiveTrace, type CallerTrace } from './telemetry-context.ts';
export {
  inAgentSpan,
  inCallsSpan,
  inChatSpan,
  inSubmitSpan,
  tellGathered,
  tellLostHolds,
  type HoldOfRun,
} from './telemetry-run.ts';
export {
  inProcessSpan,
  inSettleSpan,
  inToolSpan,
  startSendSpan,
  tellApproval,
  tellRefused,
  type PickUp,
  type PickUpEnd,
  type SendSpan,
} from './telemetry-call.ts';
