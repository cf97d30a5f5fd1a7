/** What a failure code means for everybody who meets it; `docs/failures.md` is generated from this table. */
export interface FailureRule {
  readonly status: 'failed' | 'refused' | 'cancelled';
  /** whether the worker tries again: `classify` asks the error itself */
  readonly retry: 'never' | 'backoff' | 'classify';
  readonly spendsAttempt: boolean;
  readonly deadLetter: boolean;
  readonly http: number;
  readonly level: 'info' | 'warn' | 'error';
  /** what the model reads when the error brought no message of its own */
  readonly forModel: string;
}

const refused = { status: 'refused', retry: 'never', spendsAttempt: false, deadLetter: false, level: 'info' } as const;
const failed = { status: 'failed', retry: 'never', spendsAttempt: true, deadLetter: true, level: 'error' } as const;

export const failures = {
  malformed_arguments: { ...refused, http: 400, forModel: 'The arguments are not valid JSON. Send one JSON object.' },
  invalid_arguments: { ...refused, http: 422, forModel: 'The arguments do not match the schema of the tool.' },
  unknown_tool: { ...refused, http: 404, forModel: 'There is no such tool among those offered.' },
  tool_unavailable: { ...refused, http: 503, level: 'warn', forModel: 'No worker serves this tool at the moment.' },
  permission_denied: { ...refused, http: 403, level: 'warn', forModel: 'The user may not call this tool.' },
  quota_exceeded: { ...refused, http: 429, forModel: 'A quota is used up.' },
  rate_limited: { ...refused, http: 429, forModel: 'A rate limit leaves no room before the deadline.' },
  circuit_open: { ...refused, http: 503, level: 'warn', forModel: 'The tool fails at the moment and is not asked.' },
  approval_denied: { ...refused, http: 403, forModel: 'A person denied this call.' },
  approval_expired: { ...refused, http: 408, forModel: 'Nobody approved this call in time.' },
  timeout: { ...failed, retry: 'backoff', http: 504, forModel: 'The tool took too long.' },
  tool_error: { ...failed, retry: 'classify', http: 500, forModel: 'The tool failed.' },
  upstream_error: { ...failed, retry: 'classify', http: 502, forModel: 'A service behind the tool failed.' },
  result_too_large: { ...failed, http: 500, forModel: 'The result of the tool is too large.' },
  lost: { ...failed, http: 500, forModel: 'The workers that ran the tool died before it ended.' },
  outcome_unknown: {
    ...failed,
    http: 500,
    forModel: 'The worker died while the tool ran. It may or may not have taken effect; it was not repeated.',
  },
  deadline_exceeded: {
    ...failed,
    deadLetter: false,
    level: 'warn',
    http: 504,
    forModel: 'The time for this run is over.',
  },
  cancelled: {
    status: 'cancelled',
    retry: 'never',
    spendsAttempt: false,
    deadLetter: false,
    http: 409,
    level: 'info',
    forModel: 'The call was cancelled before it ended.',
  },
} as const satisfies Record<string, FailureRule>;

export type FailureCode = keyof typeof failures;

export const failureCodes = Object.keys(failures) as FailureCode[];

export const isFailureCode = (code: string | undefined): code is FailureCode =>
  code !== undefined && Object.hasOwn(failures, code);

/** What the worker does next with an error: give up, back off, or wait as long as the other side asked. */
export type Retry = 'never' | 'backoff' | { readonly afterMs: number };

export interface CallErrorOptions {
  /** default: what the table says of the code; where it says `classify`, `never` */
  retry?: Retry;
  /** when the model may try again, where nothing here does; default: what `retry` says */
  retryAfterMs?: number;
  /** how the model could repair the call */
  suggestion?: string;
  /** small JSON for the model; capped with the outcome */
  details?: unknown;
  cause?: unknown;
}

/** An error that knows its code: anything a step throws to end the call, or an attempt of it. */
export class CallError extends Error {
  readonly code: FailureCode;
  readonly retry: Retry;
  readonly retryAfterMs: number | undefined;
  readonly suggestion: string | undefined;
  readonly details: unknown;

  constructor(code: FailureCode, message?: string, options: CallErrorOptions = {}) {
    super(message ?? failures[code].forModel, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'CallError';
    this.code = code;
    this.retry = options.retry ?? (failures[code].retry === 'backoff' ? 'backoff' : 'never');
    this.retryAfterMs = options.retryAfterMs ?? (typeof this.retry === 'object' ? this.retry.afterMs : undefined);
    this.suggestion = options.suggestion;
    this.details = options.details;
  }
}

/**
 * What a tool throws to say what happens next: `new ToolError('no such order')` is told to the model at once,
 * `{ retry: 'backoff' }` tries again, `{ retry: { afterMs } }` waits that long without spending an attempt.
 */
export class ToolError extends CallError {
  constructor(message: string, options: CallErrorOptions = {}) {
    super('tool_error', message, options);
    this.name = 'ToolError';
  }
}
