import Type from 'typebox';
import { problemsOf } from './schema-problems.ts';

/** On whose behalf a call runs. `permissions` and `roles` decide which tools may be called. */
export const Principal = Type.Object({
  owner: Type.String({ minLength: 1, maxLength: 256, description: 'tenant, or the key that came in' }),
  userId: Type.String({ minLength: 1, maxLength: 256, description: 'the user within the owner' }),
  roles: Type.Array(Type.String({ maxLength: 128 })),
  permissions: Type.Array(Type.String({ maxLength: 128 })),
});
export type Principal = Type.Static<typeof Principal>;

/** What callers may write: roles and permissions are empty when left out. */
export type PrincipalInput = Pick<Principal, 'owner' | 'userId'> & Partial<Principal>;

/** @throws TypeError which names every field that is wrong */
export function toPrincipal({ owner, userId, roles = [], permissions = [] }: PrincipalInput): Principal {
  const principal = { owner, userId, roles, permissions };
  const problems = problemsOf(principal, Principal).map(({ pointer, problem }) => `principal${pointer}: ${problem}`);
  if (problems.length > 0) throw new TypeError(problems.join('\n'));
  return principal;
}

/**
 * The entries of a tool's `requires` that the principal lacks; empty means allowed.
 * `role:admin` asks for a role, anything else for a permission.
 */
export function missingRequirements(principal: Principal, requires: readonly string[]): string[] {
  return requires.filter((need) =>
    need.startsWith('role:') ? !principal.roles.includes(need.slice(5)) : !principal.permissions.includes(need),
  );
}
