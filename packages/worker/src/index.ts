export { loadTools } from './load-tools.ts';
export type { LoadedTools } from './load-tools.ts';
export { createWorker } from './worker.ts';
export type { Worker, WorkerOptions } from './worker.ts';
export { defineTool } from '@callyard/shared/tool';
export type { Manifest, Tool, ToolContext, ToolDefinition } from '@callyard/shared/tool';
export type { PolicyInput } from '@callyard/shared/policy';
export { ToolError } from '@callyard/shared/failure';
export { Type } from 'typebox';
