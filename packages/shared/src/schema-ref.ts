import type { JsonSchema } from './schema.ts';

/** A key as it is, of one as a JSON Pointer writes it. */
export const unescaped = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~');

/** The keys of a JSON Pointer (RFC 6901). */
export const keysOf = (pointer: string): string[] => pointer.split('/').slice(1).map(unescaped);

/** What a JSON Pointer leads to, or undefined. */
export const valueAt = (root: unknown, pointer: string): unknown => keysOf(pointer).reduce(childOf, root);

function childOf(node: unknown, name: string): unknown {
  return typeof node === 'object' && node !== null && Object.hasOwn(node, name)
    ? (node as JsonSchema)[name]
    : undefined;
}

/** The subschema at a pointer; unlike `valueAt` it follows every `$ref` on the way, and the last. */
export const schemaAt = (root: JsonSchema, pointer: string): unknown =>
  followRef(
    keysOf(pointer).reduce((node, key) => childOf(followRef(node, root), key), root as unknown),
    root,
  );

/** The schema itself, its `$ref` followed. A schema that is checked has no `$ref` that leads back to itself. */
export function followRef(schema: unknown, root: JsonSchema): unknown {
  const ref = typeof schema === 'object' && schema !== null ? (schema as JsonSchema).$ref : undefined;
  return typeof ref === 'string' ? followRef(refTarget(ref, root), root) : schema;
}

/** What a reference leads to within its schema: by pointer, anchor or id. There is no other place to look in. */
export function refTarget(ref: string, root: JsonSchema): unknown {
  if (ref === '#') return root;
  if (!ref.startsWith('#/')) return named(ref, root);
  try {
    return valueAt(root, decodeURIComponent(ref.slice(1)));
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function named(ref: string, node: unknown): unknown {
  if (typeof node !== 'object' || node === null) return undefined;
  const { $id, $anchor, $dynamicAnchor } = node as JsonSchema;
  if ($id === ref || [$anchor, $dynamicAnchor].some((anchor) => typeof anchor === 'string' && `#${anchor}` === ref)) {
    return node;
  }
  for (const child of Object.values(node)) {
    const found = named(ref, child);
    if (found !== undefined) return found;
  }
  return undefined;
}
