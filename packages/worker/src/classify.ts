import { CallError, failures, type Retry } from '@callyard/shared/failure';
import { retryAfterMs } from '@callyard/shared/retry-after';

/** Longer messages say nothing more to a model. */
const maxMessage = 2_000;

/** Characters of JSON; an outcome is no place for more. */
const maxDetails = 16_384;

/**
 * What happens next after anything a handler threw: 408, 429, 5xx and lost connections are tried again, other 4xx and
 * mistakes of the program are not, a `ToolError` says for itself, and any other error is tried again. What comes back
 * can be stored: it is short, and its details are JSON.
 */
export function classifyError(error: unknown): CallError {
  try {
    return isCallError(error) ? storable(error) : classify(error);
  } catch (cause) {
    return new CallError('tool_error', 'The tool threw something that cannot be read.', { cause });
  }
}

function classify(error: unknown): CallError {
  if (!(error instanceof Error))
    return new CallError('tool_error', `The tool threw ${shown(error)}.`, { retry: 'backoff' });
  const said: unknown = error.message; // a text, unless somebody assigned something else
  const message = (typeof said === 'string' && said !== '' ? said : error.name).slice(0, maxMessage);
  const status = statusOf(error);
  if (status !== undefined)
    return new CallError('upstream_error', message, { retry: retryFor(status, error), cause: error });
  if (isConnectionError(error)) return new CallError('upstream_error', message, { retry: 'backoff', cause: error });
  return new CallError('tool_error', message, { retry: isMistake(error) ? 'never' : 'backoff', cause: error });
}

/** The service behind the tool failed; an error that is not to be tried again is an answer. */
export const isServiceFailure = ({ code, retry }: Pick<CallError, 'code' | 'retry'>): boolean =>
  code === 'timeout' || ((code === 'tool_error' || code === 'upstream_error') && retry !== 'never');

/** Also of another copy of the class, as two versions of a package may be installed. */
const isCallError = (error: unknown): error is CallError =>
  error instanceof CallError ||
  (error instanceof Error &&
    'code' in error &&
    Object.hasOwn(failures, String(error.code)) &&
    'retry' in error &&
    isRetry(error.retry));

function storable(error: CallError): CallError {
  const { code, retry, details, suggestion } = error;
  if (error.message.length + (suggestion?.length ?? 0) <= maxMessage && isStorable(details)) return error;
  return new CallError(code, error.message.slice(0, maxMessage), {
    retry,
    cause: error,
    ...(suggestion === undefined ? {} : { suggestion: suggestion.slice(0, maxMessage) }),
    ...(isStorable(details) ? { details } : {}),
  });
}

function isStorable(details: unknown): boolean {
  try {
    return details === undefined || JSON.stringify(details).length <= maxDetails;
  } catch {
    return false; // a BigInt, a circle
  }
}

const isRetry = (value: unknown): value is Retry =>
  value === 'never' ||
  value === 'backoff' ||
  (typeof value === 'object' && value !== null && 'afterMs' in value && typeof value.afterMs === 'number');

export const retryableStatus = (status: number): boolean => status === 408 || status === 429 || status >= 500;

function retryFor(status: number, error: Error): Retry {
  if (!retryableStatus(status)) return 'never';
  const afterMs = retryAfterMs(retryAfterIn(error));
  return afterMs === undefined ? 'backoff' : { afterMs };
}

/** The HTTP status in the shapes that clients throw: `status`, `statusCode`, and the same of `response`. */
function statusOf(error: Error): number | undefined {
  const { status, statusCode, response } = error as {
    status?: unknown;
    statusCode?: unknown;
    response?: { status?: unknown; statusCode?: unknown };
  };
  const found = [status, statusCode, response?.status, response?.statusCode].find(
    (value) => typeof value === 'number' && value >= 400 && value < 600,
  );
  return found as number | undefined;
}

/** Headers come as `Headers`, as something else with a `get`, or as a plain object. */
function retryAfterIn(error: Error): string | undefined {
  const { headers, response } = error as { headers?: unknown; response?: { headers?: unknown } };
  const found = headers ?? response?.headers;
  if (typeof found !== 'object' || found === null) return undefined;
  const value: unknown =
    'get' in found && typeof found.get === 'function'
      ? found.get('retry-after')
      : Object.entries(found).find(([name]) => name.toLowerCase() === 'retry-after')?.[1];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

const connectionCodes =
  /^(ECONN|ENOTFOUND|E(NET|HOST)(UNREACH|DOWN)|EAI_AGAIN|EPIPE|ETIMEDOUT|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_|HPE_|UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT|UND_ERR_(SOCKET|CLOSED|DESTROYED|INFO|RES_CONTENT_LENGTH_MISMATCH))/;

/** Looks through causes, as `fetch failed` tells its reason only there. */
export function isConnectionError(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 5) return false;
  if ('code' in error && connectionCodes.test(String(error.code))) return true;
  if (error.name === 'TimeoutError' || error.name === 'HTTPParserError') return true;
  if (error instanceof AggregateError && error.errors.some((one) => isConnectionError(one, depth + 1))) return true;
  return isConnectionError(error.cause, depth + 1);
}

const isMistake = (error: Error): boolean =>
  error instanceof TypeError ||
  error instanceof ReferenceError ||
  error instanceof SyntaxError ||
  error instanceof RangeError;

function shown(thrown: unknown): string {
  if (typeof thrown === 'string') return JSON.stringify(thrown.slice(0, maxMessage));
  if (typeof thrown === 'function') return 'a function';
  return thrown === null || typeof thrown !== 'object' ? String(thrown) : 'an object that is no error';
}
