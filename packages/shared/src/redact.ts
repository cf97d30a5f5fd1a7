/** Keys whose values are secrets: whole keys, in any case, with `-` or `_` between words or nothing. */
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

/** 13 to 19 digits in one, or in the groups they are printed in; not part of a word, a decimal or an id. */
const cardLike =
  /(?<![\w+]|\d\.)(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}|3\d{3}([ -])\d{6}\2\d{4,5})(?!\w|\.\d|-\w)/g;

/** What issuers give out, by first digits and length. */
const issuers = [
  /^4(\d{12}|\d{15}|\d{18})$/, // Visa
  /^(5[1-5]|2[2-7])\d{14}$/, // Mastercard
  /^3[47]\d{13}$/, // American Express
  /^3[0689]\d{12}$/, // Diners Club
  /^(35|6[0245])\d{14}(\d{3})?$/, // JCB, Discover, UnionPay
];

/** `"key": scalar` of a JSON text, which many tools hand back instead of JSON. */
const jsonField = /("([^"\\]{1,64})"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false)/g;

export type Redactor = (value: unknown) => unknown;

/**
 * Makes a redactor for JSON: scalars under secret-looking keys, also those in a list there, become `[redacted]` (objects
 * under them are walked), card numbers in texts become `[redacted card]`; a text that holds JSON is treated as JSON.
 * Returns the same value where nothing was found, so that most results cost a walk and no copy.
 */
export function createRedactor({ keys = [] }: { keys?: readonly string[] } = {}): Redactor {
  const secrets = new Set([...secretKeys, ...keys].map(normalize));
  const isSecret = (key: string): boolean => secrets.has(normalize(key));
  const redactScalar = (value: unknown, secret: boolean): unknown => {
    if (secret && value !== null) return '[redacted]';
    return typeof value === 'string' ? withoutCards(withoutFields(value, isSecret)) : value;
  };
  return (value) => {
    const top: Place = { fields: { '': value }, secret: false };
    const open = [top];
    for (let place = open.pop(); place; place = open.pop()) {
      const isList = Array.isArray(place.fields);
      for (const key of Object.keys(place.fields)) {
        const item = place.fields[key];
        const secret = isList ? place.secret : isSecret(key);
        if (isContainer(item)) open.push({ fields: item, secret, parent: { place, key } });
        else change(place, key, redactScalar(item, secret));
      }
    }
    return (top.copy ?? top.fields)[''];
  };
}

type Fields = Record<string, unknown>;

/**
 * An object or list still to be walked. The walk keeps a list of them instead of calling itself: a result may be nested
 * deeper than the stack.
 */
interface Place {
  fields: Fields;
  /** of a list: whether the scalars in it are secrets */
  secret: boolean;
  parent?: { place: Place; key: string };
  /** takes the place of `fields` once something in it has changed */
  copy?: Fields;
}

const isContainer = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Copies what leads to a changed value, from it upwards, as far as that is not copied yet. */
function change(place: Place, key: string, value: unknown): void {
  if (value === place.fields[key]) return;
  let at: Place = place;
  let changed = { key, value };
  for (;;) {
    const copied = at.copy !== undefined;
    at.copy ??= Array.isArray(at.fields) ? ([...at.fields] as unknown as Fields) : { ...at.fields };
    at.copy[changed.key] = changed.value;
    if (copied || !at.parent) return;
    changed = { key: at.parent.key, value: at.copy };
    at = at.parent.place;
  }
}

const normalize = (key: string): string => key.toLowerCase().replaceAll(/[-_]/g, '');

/** A number is replaced by a text in quotes, so that JSON stays JSON. */
const withoutFields = (text: string, isSecret: (key: string) => boolean): string =>
  text.replace(jsonField, (field, start: string, key: string, value: string) => {
    if (isSecret(key)) return `${start}"[redacted]"`;
    return /^\d+$/.test(value) && isCard(value) ? `${start}"[redacted card]"` : field;
  });

const withoutCards = (text: string): string =>
  text.replace(cardLike, (found) => (isCard(found) ? '[redacted card]' : found));

/** A number as an issuer gives them out, whose last digit is right by Luhn (ISO/IEC 7812-1). */
function isCard(text: string): boolean {
  const digits = text.replace(/\D/g, '');
  if (!issuers.some((issuer) => issuer.test(digits))) return false;
  const sum = Array.from(digits)
    .toReversed()
    .reduce((total, digit, i) => {
      const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
      return total + (value > 9 ? value - 9 : value);
    }, 0);
  return sum % 10 === 0;
}
