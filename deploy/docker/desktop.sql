-- The office: its customers, and visits that its people plan and that come back from phones.
create table customer (id int primary key, name text not null, town text);
create table visit (id int primary key, customer_id int, note text, done boolean not null default false, source char(1));
insert into customer select n, 'Customer ' || n, (array['Chennai', 'Pune', 'Kochi'])[1 + n % 3] from generate_series(1, 1000) n;
insert into visit (id, customer_id, note) select n, n, 'Visit ' || n from generate_series(1, 200) n;
