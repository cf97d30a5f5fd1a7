import { ToolDefinitionError, type Tool } from '@callyard/shared/tool';
import type { ToolSet } from '@callyard/shared/tool-set';

/** The tool that a fallback names: its highest version. */
export const fallbackToolOf = (name: string, tools: ToolSet): Tool | undefined =>
  tools.resolve({ name, version: '', range: '*' });

/** @throws ToolDefinitionError where a fallback names a tool that is not here, may not run twice, needs approval, or leads back */
export function checkFallbacks(tools: readonly Tool[], toolSet: ToolSet): void {
  for (const tool of tools) followFallbacks(tool, toolSet);
}

function followFallbacks(tool: Tool, toolSet: ToolSet): void {
  const way = [tool.manifest.name];
  let last: Tool | undefined = tool;
  while (last && typeof last.fallback === 'object') {
    const name: string = last.fallback.tool;
    if (way.includes(name)) refuse(tool, `it leads back to itself (${[...way, name].join(' → ')})`);
    last = fallbackToolOf(name, toolSet);
    if (!last) refuse(tool, `this worker serves no tool ${name}`);
    if (last?.manifest.policy.effects === 'at-most-once')
      refuse(tool, `${name} is at-most-once, and a call that is picked up again would start it again`);
    if (last?.needsApproval) refuse(tool, `${name} needs approval, and nobody is asked for a fallback`);
    way.push(name);
  }
}

function refuse({ manifest: { name, version } }: Tool, why: string): never {
  throw new ToolDefinitionError(`tool ${name}@${version}: fallback: ${why}`);
}
