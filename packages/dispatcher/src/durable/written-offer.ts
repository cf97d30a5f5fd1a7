import { readPolicy } from '@callyard/shared/policy';
import type { Manifest } from '@callyard/shared/tool';
import type { Offer, OfferedTool } from '../offer.ts';
import type { LiveTools } from '../live-tools.ts';

/** What a turn offered, as its record keeps it: `name version range` of each tool. */
export const writeOffer = (offer: Offer): string[] =>
  [...offer.values()].map(({ manifest, range }) => `${manifest.name} ${manifest.version} ${range}`);

/** The same again, from the tools that are live now. */
export function readOffer(live: LiveTools, written: readonly string[]): Offer {
  const tools = written.map((text): OfferedTool => {
    const [name = '', version = '', ...rest] = text.split(' ');
    const range = rest.join(' ');
    return { manifest: live.find(name, version) ?? live.find(name, range) ?? absent(name, version), range };
  });
  return new Map(tools.map((tool) => [tool.manifest.name, tool]));
}

/** Stands for a tool that no worker serves at the moment: its calls wait, and whoever comes to run them knows its policy. */
const absent = (name: string, version: string): Manifest => ({
  name,
  version,
  description: '',
  parameters: { type: 'object' },
  schemaHash: '',
  policy: readPolicy({}).policy,
});
