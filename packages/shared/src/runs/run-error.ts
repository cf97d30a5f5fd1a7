/**
 * What a caller gets who asks for something of a run, or of a conversation, that cannot be:
 *
 * unknown      there is no such run, or it is another owner's
 * conflict     the key was used for another request
 * busy         another run of the conversation is under way, and this one was not to wait
 * full         the conversation holds as much as it may
 * too_new      the record was written by a newer version
 * gone         the record is no more: its time is over, or Redis has lost it
 * no_event     the event asked for is not there: not yet, or not any more
 */
export type RunErrorCode = 'unknown' | 'conflict' | 'busy' | 'full' | 'too_new' | 'gone' | 'no_event';

export class RunError extends Error {
  readonly code: RunErrorCode;
  /** what the caller can mend is no fault of the system: its span is no error */
  readonly benign: boolean;

  constructor(code: RunErrorCode, message: string) {
    super(message);
    this.name = 'RunError';
    this.code = code;
    this.benign = code !== 'gone' && code !== 'too_new';
  }
}

export const goneRun = (runId: string): RunError =>
  new RunError('gone', `Run ${runId} is no more: its record has expired, or Redis has lost it.`);

/** One message for what is not there and for what is somebody else's: nobody learns which. */
export const unknownRun = (runId: string): RunError =>
  new RunError('unknown', `There is no run ${JSON.stringify(runId)} of this owner.`);
