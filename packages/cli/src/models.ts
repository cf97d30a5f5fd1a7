import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openaiChat, type Model } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { UsageError } from './usage-error.ts';

/** The models that durable runs may ask for: those a module exports, else the one of the environment, else none. */
export async function loadModels(module: string | undefined): Promise<Model[]> {
  if (module !== undefined) return modelsOfModule(module);
  const model = modelFromEnvironment();
  return model ? [model] : [];
}

/** Undefined without OPENAI_API_KEY. */
export function modelFromEnvironment(): Model | undefined {
  const { apiKey, baseUrl, model } = loadConfig('model');
  if (apiKey === '') return undefined;
  return openaiChat({ apiKey, model, ...(baseUrl === '' ? {} : { baseURL: baseUrl }) });
}

async function modelsOfModule(path: string): Promise<Model[]> {
  const models = Object.values(await importOrExplain(path)).filter(isModel);
  if (models.length === 0) throw new UsageError(`${path} exports no model: an object with name, provider and ask`);
  return models;
}

async function importOrExplain(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`cannot load models from ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const isModel = (value: unknown): value is Model =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  'provider' in value &&
  'ask' in value &&
  typeof value.ask === 'function';
