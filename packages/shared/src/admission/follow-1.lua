--[[
  Has a call wait for the result of an equal one that runs. Its job is in `delayed`, put there by its worker.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
  ARGV[2]  key of the call
  ARGV[3]  cache id
  ARGV[4]  when it looks again by itself, ms from now: whoever runs may have died without a word
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
readClock()
local pool, key, id, againMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local followers = tag .. ':flight:' .. id .. ':followers'

if redis.call('EXISTS', tag .. ':flight:' .. id) == 0 then
  promote(pool, key)
else
  redis.call('RPUSH', followers, pool .. ' ' .. key)
  expireIn(followers, againMs + 60000)
  park(pool, key, math.ceil(now + againMs))
end
finish()
