--[[
  Takes away the stand-ins of gate-1.lua, at the end of its transaction.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
]]
local tag = KEYS[1]
local refused = redis.call('SMEMBERS', tag .. ':refused')
for _, key in ipairs(refused) do
  local job = tag .. ':calls-' .. ARGV[1] .. ':' .. key
  if redis.call('HEXISTS', job, 'refused') == 1 then redis.call('DEL', job) end
end
if #refused > 0 then redis.call('DEL', tag .. ':refused') end
