import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * Jobs and outcomes as released versions wrote them. They may still lie in somebody's Redis, so no line here is ever
 * changed or removed: a new shape is a new file and a new line.
 */
const released = {
  'envelope-replay.json': 'bf24acf3fa9967d9efe497fbe0d93132fece6217522fa9dbdf70138ed017f693',
  'envelope.json': '3fdeeb12e76d36b287b2d6650103d394fe88586f5aca89eaf4e3833ecd8b6813',
  'outcome-completed.json': 'b09917d82855a2c453dac240690ea8147ac4fba946404e9a7bd8f756947fdeb9',
  'outcome-failed.json': '777b65d8ff638c4d3358520ab2c15b1c548d4c7cc14be8bcde13e8983d99ebd7',
  'outcome-refused.json': '802f579ece170cd739132a597afd904796d9aa143f940a697021b3343f60e2a0',
};

const folder = new URL('../fixtures/wire/v1/', import.meta.url);
const digest = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('fixtures of wire v1', () => {
  it('are what they were when they were released, and each is listed', () => {
    const found = readdirSync(folder).map((name) => [name, digest(readFileSync(new URL(name, folder)))]);
    expect(Object.fromEntries(found)).toEqual(released);
    const touched = `${readFileSync(new URL('envelope.json', folder), 'utf8')}\n`;
    expect(digest(touched)).not.toBe(released['envelope.json']);
  });
});
