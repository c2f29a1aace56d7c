"""What a production night must show: releases under fire, faulty nights caught, the big night, table work, exports."""
