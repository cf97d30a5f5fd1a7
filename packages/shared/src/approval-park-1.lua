--[[
  Has a call wait for its approval. Its job is in `delayed`, put there by its worker for a moment; what was decided or
  settled since the worker asked sends it back at once.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
  ARGV[2]  key of the call
]]
local tag = KEYS[1]
-- @include admission/lib/now.lua
-- @include admission/lib/later.lua
-- @include admission/lib/bullmq.lua
readClock()
local pool, key = ARGV[1], ARGV[2]
local dueAt, decision = unpack(redis.call('HMGET', tag .. ':approval:' .. key, 'dueAt', 'decision'))

if dueAt and not decision and redis.call('EXISTS', tag .. ':outcome:' .. key) == 0 then
  park(pool, key, tonumber(dueAt))
else
  promote(pool, key)
end
finish()
