/** Keys whose scalar values are secrets: whole keys, in any case, `-` and `_` alike. */
const secretKeys = [
  'password',
  'passwd',
  'passphrase',
  'secret',
  'client_secret',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'session_token',
  'auth_token',
  'bearer_token',
  'api_key',
  'apikey',
  'secret_key',
  'private_key',
  'access_key',
  'authorization',
  'cookie',
  'set_cookie',
  'credential',
  'credentials',
  'ssn',
  'cvv',
  'cvc',
];

const cardLike = /(?<!\d|\d\.)\d(?:[ -]?\d){12,18}(?!\d|[.-]\d)/g;

export type Redactor = (value: unknown) => unknown;

/**
 * Makes a redactor for JSON: scalars under secret-looking keys become `[redacted]` (objects under them are walked),
 * card numbers in texts become `[redacted card]`. Returns the same value where nothing was found, so that most results
 * cost a walk and no copy.
 */
export function createRedactor({ keys = [] }: { keys?: readonly string[] } = {}): Redactor {
  const secrets = new Set([...secretKeys, ...keys].map(normalize));
  const redact = (value: unknown): unknown => {
    if (typeof value === 'string') return withoutCards(value);
    if (Array.isArray(value)) return redactItems(value, redact);
    if (typeof value !== 'object' || value === null) return value;
    return redactFields(value as Record<string, unknown>, secrets, redact);
  };
  return redact;
}

function redactItems(items: unknown[], redact: Redactor): unknown[] {
  let copy: unknown[] | undefined;
  for (const [i, item] of items.entries()) {
    const clean = redact(item);
    if (clean === item) continue;
    copy ??= [...items];
    copy[i] = clean;
  }
  return copy ?? items;
}

function redactFields(fields: Record<string, unknown>, secrets: ReadonlySet<string>, redact: Redactor): object {
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    const clean = isScalar(value) && secrets.has(normalize(key)) ? '[redacted]' : redact(value);
    if (clean === value) continue;
    copy ??= { ...fields };
    copy[key] = clean;
  }
  return copy ?? fields;
}

const isScalar = (value: unknown): boolean => typeof value !== 'object' && value !== undefined;

const normalize = (key: string): string => key.toLowerCase().replaceAll('-', '_');

function withoutCards(text: string): string {
  return text.length < 13 ? text : text.replace(cardLike, (found) => (isCard(found) ? '[redacted card]' : found));
}

/** A number as issuers give them out (first digit 2 to 6), whose last digit is right by Luhn (ISO/IEC 7812-1). */
function isCard(text: string): boolean {
  const digits = text.replace(/\D/g, '');
  if (!/^[2-6]/.test(digits)) return false;
  const sum = Array.from(digits)
    .toReversed()
    .reduce((total, digit, i) => {
      const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
  return sum % 10 === 0;
}
