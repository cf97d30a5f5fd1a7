import type { ToolRef } from './call.ts';
import { ToolDefinitionError, type Tool } from './tool.ts';
import { highestIn } from './version.ts';

/** The tools of a worker, found by what an envelope asks for. */
export interface ToolSet {
  /** The very version if it is here, else the highest that satisfies the range. */
  resolve(wanted: Pick<ToolRef, 'name' | 'version' | 'range'>): Tool | undefined;
}

/** @throws ToolDefinitionError where a version is there twice, or an isolated tool cannot be loaded by a child */
export function createToolSet(tools: readonly Tool[]): ToolSet {
  const byName = new Map<string, Map<string, Tool>>();
  for (const tool of tools) {
    refuseUnloadable(tool);
    const { name, version } = tool.manifest;
    const versions = byName.get(name) ?? new Map<string, Tool>();
    byName.set(name, versions);
    const twin = versions.get(version);
    if (twin) refuseTwin(tool, twin);
    versions.set(version, tool);
  }
  // Ranges are few, calls are many, and matching a range takes longer than running a small tool.
  const resolved = new Map<string, Tool | undefined>();
  return {
    resolve({ name, version, range }) {
      const versions = byName.get(name);
      const exact = versions?.get(version);
      if (exact ?? !versions) return exact;
      const asked = `${name}@${range}`;
      if (!resolved.has(asked)) resolved.set(asked, highest(versions, range));
      return resolved.get(asked);
    },
  };
}

function highest(versions: ReadonlyMap<string, Tool>, range: string): Tool | undefined {
  const version = highestIn([...versions.keys()], range);
  return version === undefined ? undefined : versions.get(version);
}

function refuseTwin({ manifest }: Tool, twin: Tool): never {
  const { name, version, schemaHash } = manifest;
  const same = twin.manifest.schemaHash === schemaHash;
  throw new ToolDefinitionError(
    `tool ${name}@${version}: it is there twice${same ? '' : ', with two schemas'}. Remove one, or raise the version of the newer.`,
  );
}

function refuseUnloadable({ manifest: { name, version, policy }, module }: Tool): void {
  if (!policy.isolate || module !== undefined) return;
  throw new ToolDefinitionError(
    `tool ${name}@${version}: policy.isolate needs to know where the tool comes from; define it with module: import.meta.url`,
  );
}
