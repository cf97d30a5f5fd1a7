/** What the person at the keyboard can mend; printed without a stack, exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}
