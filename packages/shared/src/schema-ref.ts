import type { JsonSchema } from './schema.ts';

/** What a JSON Pointer (RFC 6901) leads to, or undefined. */
export const valueAt = (root: unknown, pointer: string): unknown => pointer.split('/').slice(1).reduce(childOf, root);

function childOf(node: unknown, key: string): unknown {
  const name = key.replaceAll('~1', '/').replaceAll('~0', '~');
  return typeof node === 'object' && node !== null && Object.hasOwn(node, name)
    ? (node as JsonSchema)[name]
    : undefined;
}

/** The subschema at a pointer; unlike `valueAt` it follows every `$ref` on the way, and the last. */
export const schemaAt = (root: JsonSchema, pointer: string): unknown =>
  followRef(
    pointer
      .split('/')
      .slice(1)
      .reduce((node, key) => childOf(followRef(node, root), key), root as unknown),
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
