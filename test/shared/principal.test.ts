import { describe, expect, it } from 'vitest';
import { toPrincipal, type PrincipalInput } from '@callyard/shared/principal';
import { principal, setup, toolCall } from '../support/setup.ts';

describe('a principal', () => {
  it('has no roles and permissions unless it is given some', () => {
    expect(toPrincipal(principal)).toEqual({ ...principal, roles: [], permissions: [] });
  });

  it('may have an id of any characters', () => {
    expect(toPrincipal({ owner: '{}:*', userId: '\n"ünï' })).toMatchObject({ owner: '{}:*', userId: '\n"ünï' });
  });

  it.each<[string, object, string]>([
    [
      'a user id of 10 kB',
      { ...principal, userId: 'x'.repeat(10_000) },
      'principal/userId: must not have more than 256 characters',
    ],
    ['no user', { owner: 'acme' }, 'principal/userId: must be string, got nothing'],
    ['an empty owner', { ...principal, owner: '' }, 'principal/owner: must not have fewer than 1'],
    ['roles that are no list', { ...principal, roles: 'admin' }, 'principal/roles: must be array, got "admin"'],
  ])('with %s is refused, and the field is named', async (_what, wrong, message) => {
    expect(() => toPrincipal(wrong as PrincipalInput)).toThrow(message);
    const dispatcher = await (await setup()).dispatcher();
    await expect(dispatcher.execute([toolCall('any')], { principal: wrong as never })).rejects.toThrow(TypeError);
  });
});
