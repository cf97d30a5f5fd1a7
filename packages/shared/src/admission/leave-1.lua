--[[
  Gives back what calls hold that stop without an outcome of their worker, and lets the next ones start: a retry, a
  call handed back, one that was withdrawn.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
  ARGV[2]  JSON array of [key, lane, text as it stands in a lane, how it stops: 0 without a start | 1 after one |
           2 after one, to be tried again]
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
-- @include lib/buckets.lua
-- @include lib/lanes.lua
-- @include lib/serve.lua
readClock()
local pool = ARGV[1]

for _, call in ipairs(cjson.decode(ARGV[2])) do
  local key, lane, text, stop = call[1], call[2], call[3], call[4]
  giveBack(pool, {{key = key, started = stop > 0, again = stop == 2}})
  redis.call('LREM', laneKey(lane), 1, text)
end
serve({pool})
