import type { JsonSchema } from '@callyard/shared/schema';
import type { Manifest } from '@callyard/shared/tool';
import type { ToolNames } from './tool-names.ts';

/** A tool as Anthropic's Messages API lists it. */
export interface AnthropicTool {
  name: string;
  description: string;
  input_schema: JsonSchema;
}

export const toAnthropicTool = ({ name, description, parameters }: Manifest, names: ToolNames): AnthropicTool => ({
  name: names.toWire(name),
  description,
  input_schema: parameters,
});
