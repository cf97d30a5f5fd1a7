/* A worker process of `callyard replay`: serves the tools that a recording holds. Arguments: FILE [TOOLS_FILE] */
import { loadConfig } from '@callyard/shared/config';
import { serve } from '../serve.ts';
import { readCases } from './cases.ts';
import { echoTools, recordedTools } from './recorded-tools.ts';

const [file = '', toolsFile] = process.argv.slice(2);
const config = loadConfig('worker');
const { cases } = await readCases(file);
const tools = [...echoTools(cases), ...(toolsFile === undefined ? [] : recordedTools(toolsFile, cases))];
await serve({ ...config, metricsPort: 0 }, tools);
