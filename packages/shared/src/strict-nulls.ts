import type { JsonSchema } from './schema.ts';
import { followRef } from './schema-ref.ts';

/**
 * Arguments without the nulls that stand for absent optionals: providers' strict modes make every property required
 * and nullable. A null goes only where the schema says the property is optional and does not take null itself. Returns
 * the same value when there is nothing to remove.
 */
export function withoutNulls(value: unknown, schema: unknown, root: JsonSchema = schema as JsonSchema): unknown {
  const shape = follow(schema, root);
  if (!shape) return value;
  if (Array.isArray(value)) {
    const { items } = shapesOf(shape, root).find((one) => one.items !== undefined) ?? {};
    return changed(value, (item) => withoutNulls(item, items, root));
  }
  if (typeof value !== 'object' || value === null) return value;
  const branch = branchFor(value, shape, root);
  const properties = (branch.properties ?? {}) as Record<string, unknown>;
  const required = (branch.required ?? []) as string[];
  const entries = Object.entries(value);
  const kept = entries.filter(
    ([key, item]) => item !== null || required.includes(key) || takesNull(properties[key], root),
  );
  const mended = kept.map(([key, item]) => [key, withoutNulls(item, properties[key], root)] as const);
  const same = kept.length === entries.length && mended.every(([, item], i) => item === kept[i]?.[1]);
  return same ? value : Object.fromEntries(mended);
}

function changed(items: unknown[], mend: (item: unknown) => unknown): unknown[] {
  const mended = items.map(mend);
  return mended.every((item, i) => item === items[i]) ? items : mended;
}

function follow(schema: unknown, root: JsonSchema): JsonSchema | undefined {
  const target = followRef(schema, root);
  return typeof target === 'object' && target !== null ? (target as JsonSchema) : undefined;
}

/** The branch of a union that has the properties of the value, and its constants. */
function branchFor(value: object, schema: JsonSchema, root: JsonSchema): JsonSchema {
  const isMeant = ({ properties = {} }: JsonSchema) =>
    Object.entries(value).every(([key, item]) => {
      const property = Object.hasOwn(properties as object, key) ? (properties as JsonSchema)[key] : undefined;
      const only = follow(property, root)?.const;
      return property !== undefined && (only === undefined || only === item);
    });
  return schema.properties ? schema : (shapesOf(schema, root).find(isMeant) ?? schema);
}

/** The schema, and the branches of its unions. */
const shapesOf = (schema: JsonSchema, root: JsonSchema): JsonSchema[] => [
  schema,
  ...branchesOf(schema)
    .map((branch) => follow(branch, root))
    .filter((branch) => branch !== undefined),
];

const branchesOf = ({ anyOf, oneOf }: JsonSchema): unknown[] =>
  [anyOf, oneOf].flatMap((list): unknown[] => (Array.isArray(list) ? list : []));

/** Where it cannot be told, a null stays. */
function takesNull(schema: unknown, root: JsonSchema): boolean {
  const shape = follow(schema, root);
  if (!shape) return true;
  const { type, enum: values, const: only } = shape;
  if (Array.isArray(values)) return (values as unknown[]).includes(null);
  if (only !== undefined) return only === null;
  const branches = branchesOf(shape);
  if (branches.length > 0) return branches.some((branch) => takesNull(branch, root));
  if (type === undefined) return true;
  return Array.isArray(type) ? type.includes('null') : type === 'null';
}
