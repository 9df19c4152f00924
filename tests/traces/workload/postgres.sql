-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: 2026 The kva authors
--
-- One of the sessions in postgres.strace: joins, sorts, aggregates, parallel workers, index builds, vacuum.
set work_mem = '64MB'; set maintenance_work_mem = '64MB'; set jit = off;
create table a as select g as id, md5(g::text) as k, repeat('x', g % 300) as pad from generate_series(1, 120000) g;
create table b as select (g * 7) % 120000 as id, md5((g * 3)::text) as k from generate_series(1, 90000) g;
create index a_k on a(k); create index b_id on b(id);
analyze;
select count(*) from (select a.k, b.k from a join b using (id) order by a.k, b.k limit 50000) s;
select count(*), max(n) from (select substr(k, 1, 3) s, array_agg(pad) n from a group by 1) t;
select length(string_agg(pad, ',' order by k)) from a;
set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0;
select count(*) from a x join a y on x.k = y.k where x.pad <> '';
delete from a where id % 3 = 0; vacuum a;
update a set pad = repeat('y', 500) where id % 5 = 0;
select count(distinct pad) from a;
drop table a; drop table b;
