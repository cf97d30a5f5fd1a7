import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tool } from '@callyard/shared/tool';

/** Tools found in modules, and the modules that could not be loaded. */
export interface LoadedTools {
  tools: Tool[];
  failures: { module: string; reason: string }[];
}

/**
 * Loads the tools of modules and folders; a folder stands for the modules directly in it. One that fails to load is
 * named, and the rest serve.
 */
export async function loadTools(paths: readonly string[]): Promise<LoadedTools> {
  const loaded: LoadedTools = { tools: [], failures: [] };
  for (const path of paths) {
    for (const module of await modulesAt(path, loaded)) await loadModule(module, loaded);
  }
  return loaded;
}

/** The exports of a module that are tools. */
export function toolsIn(exports: Record<string, unknown>): Tool[] {
  return [...new Set(Object.values(exports))].filter(isTool);
}

const isTool = (value: unknown): value is Tool =>
  typeof value === 'object' && value !== null && 'manifest' in value && 'handler' in value;

async function modulesAt(path: string, { failures }: LoadedTools): Promise<string[]> {
  try {
    const at = resolve(path);
    if (!(await stat(at)).isDirectory()) return [at];
    const names = await readdir(at);
    return names
      .filter((name) => /\.(ts|js|mjs|mts)$/.test(name) && !/\.d\.m?ts$/.test(name))
      .map((name) => join(at, name));
  } catch (error) {
    failures.push({ module: path, reason: reasonOf(error) });
    return [];
  }
}

async function loadModule(module: string, { tools, failures }: LoadedTools): Promise<void> {
  try {
    const url = pathToFileURL(module).href;
    const found = toolsIn((await import(url)) as Record<string, unknown>);
    if (found.length === 0) failures.push({ module, reason: 'it exports no tool (see defineTool)' });
    // A module that is loaded from a path can be loaded again by a child process.
    tools.push(...found.map((tool) => ({ ...tool, module: tool.module ?? url })));
  } catch (error) {
    failures.push({ module, reason: reasonOf(error) });
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 2_000);
