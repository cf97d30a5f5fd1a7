import Type from 'typebox';
import type { Principal } from '../principal.ts';

export const Name = Type.String({ minLength: 1, maxLength: 256 });

/** Whom a rule is about; all that is given must fit. A plan such as `free` is a role. */
export const whoseProperties = {
  role: Type.Optional(Name),
  user: Type.Optional(Name),
  owner: Type.Optional(Name),
};

const Whose = Type.Object(whoseProperties);

export const isAbout = (whose: Type.Static<typeof Whose>, { owner, userId, roles }: Principal): boolean =>
  (whose.owner ?? owner) === owner &&
  (whose.user ?? userId) === userId &&
  (whose.role === undefined || roles.includes(whose.role));
