import { toAnthropicTool, toChatTool, toolNames } from '@callyard/dispatcher';
import { didYouMean } from '@callyard/shared/nearest';
import { loadTools, type Manifest } from '@callyard/worker';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';
import { withDispatcher } from './with-dispatcher.ts';

/** `callyard tools list`: what is live, or what modules would serve. */
export async function toolsListCommand({ tools, json }: { tools?: string[]; json?: boolean }): Promise<void> {
  const manifests = await manifestsFrom(tools);
  if (json) {
    console.log(JSON.stringify(manifests));
    return;
  }
  const rows = manifests.map(({ name, version, category = '', policy, description }) => [
    name,
    version,
    category,
    policy.requires.join(' '),
    description.length > 60 ? `${description.slice(0, 59)}…` : description,
  ]);
  console.log(renderTable([['NAME', 'VERSION', 'CATEGORY', 'REQUIRES', 'DESCRIPTION'], ...rows]));
}

/** `callyard tools show NAME`: the schema as providers get it, and how the tool is run. */
export async function toolsShowCommand(wanted: string, { tools }: { tools?: string[] }): Promise<void> {
  const manifests = await manifestsFrom(tools);
  const manifest = manifests.find(({ name }) => name === wanted);
  if (!manifest) {
    const names = manifests.map(({ name }) => name);
    throw new UsageError(`no tool ${wanted}${didYouMean(wanted, names)}`);
  }
  const names = toolNames([manifest.name]);
  const { name, version, description, category, schemaHash, policy } = manifest;
  const shown = {
    tool: { name, version, description, category, schemaHash, policy },
    openai: toChatTool(manifest, names),
    anthropic: toAnthropicTool(manifest, names),
  };
  console.log(JSON.stringify(shown, null, 2));
}

async function manifestsFrom(paths: readonly string[] | undefined): Promise<readonly Manifest[]> {
  if (paths === undefined) return withDispatcher('callyard-tools', async (dispatcher) => dispatcher.tools());
  const { tools, failures } = await loadTools(paths);
  for (const { module, reason } of failures) console.error(`callyard tools: ${module} was left out: ${reason}`);
  return tools.map(({ manifest }) => manifest);
}
